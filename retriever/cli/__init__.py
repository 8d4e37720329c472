"""The command line: one door, whose sub-commands every package brings itself."""

STOPPED = 130  # what shells report for a process stopped by Ctrl-C
