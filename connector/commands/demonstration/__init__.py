"""What ``demo`` shows besides running commands: each part prints what a user would look at.

``tables`` asks what an analyst would, ``live`` changes a contact and waits for its row, ``push``
writes back, ``answers`` asks the metric views. They talk to the simulator through a control that
``demo`` hands them. ``cookbook`` puts answers into pages, from the warehouse that ``fixed`` makes.
"""
