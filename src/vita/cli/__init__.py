"""The command line: one module per command, each light to import; the work is imported when a command runs."""
