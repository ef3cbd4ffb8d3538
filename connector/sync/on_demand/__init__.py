"""What is read because somebody asked for it: ``verify`` and ``refetch``; knows no schedule.

``verify`` compares rows with what Intercom shows now, ``comparing`` how that is done for each way
of reading, ``again`` reads named objects.
"""
