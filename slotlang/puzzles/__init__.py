"""Small broken or slow programs with a goal, which teach the tutorial by doing: ``slotlang puzzle``."""
