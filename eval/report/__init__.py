"""The report of a trade-off study: pictures and a page that needs no network."""
