"""Pictures of what specs and ops do: contact sheets, sweeps over a parameter, HTML pages."""
