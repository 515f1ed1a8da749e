"""One folder for each provider's protocol. A folder imports the dialect interface and the ledger's words, and no other
folder; `gateway/host/dialects.py` finds it.
"""
