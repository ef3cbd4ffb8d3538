"""What is to be read, when, and how it is divided; decides, and reads nothing.

``schedule`` says which resources owe a full pass, ``plan`` divides one into windows and says
where an incremental one begins, ``limits`` what ``backfill --since`` leaves out.
"""
