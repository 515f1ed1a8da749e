"""The read models, one file each. A new one is a file and an entry here."""

from projector.projection import Projection
from projector.projections.balances import BALANCES
from projector.projections.bets import BETS
from projector.projections.rounds import ROUNDS
from projector.projections.sessions import SESSIONS

# In this order in each transaction, so that projectors side by side lock in one order.
PROJECTIONS: tuple[Projection, ...] = (BALANCES, BETS, ROUNDS, SESSIONS)
