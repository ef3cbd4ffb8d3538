"""What is to be read, when, and how it is divided; decides, and reads nothing.

``schedule`` says which full passes are due, ``plan`` divides one into partitions and says
where an incremental one begins, ``limits`` what ``backfill --since`` leaves out.
"""
