"""Sub-commands of `loglake`; `stack.cli` lists them and imports each when it is used."""
