"""The ways in which a resource is read: searched, listed, contact by contact, fed.

``passes`` chooses by the type of the declaration. A reading knows no resource by name.
"""
