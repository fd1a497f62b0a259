"""What the ``pwm`` command does, a module for each kind of command."""
