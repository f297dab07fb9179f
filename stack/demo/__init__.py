"""A small shop to watch: its routes, its visitors, their attackers, and their past."""
