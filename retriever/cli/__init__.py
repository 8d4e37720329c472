"""The command line: one door, whose sub-commands every package brings itself."""
