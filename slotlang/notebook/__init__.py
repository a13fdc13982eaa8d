"""Results in notebooks: their HTML and SVG forms, and the cell magic ``%%slot``."""
