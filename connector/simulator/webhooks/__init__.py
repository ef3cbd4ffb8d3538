"""Notifications as Intercom sends them, with every trap; knows no socket.

Every change tells its topics to the ``hub``, which makes nothing unless somebody subscribed. Read
``items`` for what a notification is about, which is never what the REST API shows of it;
``threads`` has those of conversations and tickets. ``notification`` is the envelope and its
signature, ``delivery`` the rules by which it is sent once, once again, or never, ``chaos`` spoils
what is sent on purpose. Whoever delivers asks the hub what is due and says what was answered.
"""
