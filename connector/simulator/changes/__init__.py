"""What can happen in a workspace, one module per kind of object; knows no HTTP."""
