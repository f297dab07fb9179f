"""What the definitions need from outside."""

import dagster as dg

from streaming.contracts.settings import Settings


class Loglake(dg.ConfigurableResource):
    """The settings of this installation, from the environment like everywhere else."""

    @property
    def settings(self) -> Settings:
        """Settings as they are now."""
        return Settings()
