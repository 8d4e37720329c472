"""From files to documents: readers for the formats people have, and the splitting of long texts."""
