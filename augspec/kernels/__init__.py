"""Batched, differentiable tensor maths that the ops share; nothing here knows of specs or codes."""
