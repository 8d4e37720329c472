"""The sub-commands that measure: eval, tradeoff, compare, questions."""
