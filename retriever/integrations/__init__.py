"""The retriever as each framework knows retrievers; every module here needs its framework installed."""
