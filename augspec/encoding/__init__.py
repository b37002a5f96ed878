"""The canonical encoding: codecs turn parameters into code columns, a layout names the columns."""
