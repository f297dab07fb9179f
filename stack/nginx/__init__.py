"""The nginx servers of the demo, one configuration each."""
