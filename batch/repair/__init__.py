"""What differs from the lake, and how it is made equal again."""
