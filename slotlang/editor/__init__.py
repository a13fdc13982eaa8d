"""Questions about a program that is being written: what the language server and the page show."""
