"""The images of stack/compose.yaml: what they hold, and what a container of them runs."""
