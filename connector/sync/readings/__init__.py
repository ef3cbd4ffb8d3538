"""The ways in which a resource is read: searched, listed, contact by contact, fed.

``dispatch`` chooses by the type of the declaration. A reading knows no resource by name.
"""
