"""What ``demo`` shows besides running commands: each part prints what a user would look at.

``tables`` asks what an analyst would, ``live`` changes a contact and waits for its row, ``push``
writes back. They talk to the simulator through a control that ``demo`` hands them.
"""
