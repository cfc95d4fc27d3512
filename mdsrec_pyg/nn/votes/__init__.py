"""The history votes over learned relation graphs.

``fit``: the graphs, and what training over them needs. ``training_votes``: votes over graphs that
have not seen the voter, ``leave_one_user_out`` (exact) or ``cross_fitted``. ``evidence``: all votes
for each candidate. ``fusion``: one score from them. ``scores``: the parts together, and their loss.
"""

from mdsrec_pyg.nn.votes.cross_fitted import CrossFittedVotes
from mdsrec_pyg.nn.votes.fit import Relations, RelationsConfig, fit_relations
from mdsrec_pyg.nn.votes.fusion import VoteFusion
from mdsrec_pyg.nn.votes.leave_one_user_out import LeaveOneUserOut
from mdsrec_pyg.nn.votes.scores import RelationVotes
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes

__all__ = [
    "CrossFittedVotes",
    "LeaveOneUserOut",
    "RelationVotes",
    "Relations",
    "RelationsConfig",
    "TrainingVotes",
    "VoteFusion",
    "fit_relations",
]
