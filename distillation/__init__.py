"""Making a static encoder out of a teacher and text; needs torch."""
