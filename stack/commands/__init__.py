"""Sub-commands of `loglake`: each module here has a click command or group in `COMMANDS`."""
