"""Drawing layouts, values and wrong slots, in the terminal and as SVG."""
