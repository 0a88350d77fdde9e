"""tfcompress makes Keras and TFRS search and recommendation models small and fast, and proves it.

Spec says what you want. Plan says what will happen to each layer, or why nothing will. Techniques
do it. Export proves it. Report says what it saved.
"""

import tfcompress.keras  # first: it chooses the Keras that everything else uses
from tfcompress import recipes, tune
from tfcompress.apply import apply, distill, finalize
from tfcompress.auto import (
    AutoData,
    AutoResult,
    AutoSettings,
    Shipping,
    Teaching,
    Training,
    auto,
)
from tfcompress.calibration import Calibration, calibrate, observe
from tfcompress.distillation import (
    Combined,
    CosineRamp,
    Distiller,
    Hidden,
    LinearRamp,
    ListWise,
    Logits,
    Outputs,
    PiecewiseConstant,
    Precomputed,
    SoftLabels,
    TeacherLabels,
    Teachers,
    precompute,
)
from tfcompress.dynamic import Best, Decision, Dense, DynamicPruning, OneByOne, Together
from tfcompress.errors import (
    CopyError,
    ExportError,
    ReportError,
    SearchError,
    SpecError,
    StaleReferenceError,
    SurgeryError,
    TfcompressError,
)
from tfcompress.export import (
    Exported,
    FileComparison,
    Inspection,
    LiteModel,
    Signature,
    compare_files,
    compare_latency,
    export,
    inspect_file,
    read_vocabularies,
)
from tfcompress.layers import (
    DoubleHash,
    MappedEmbedding,
    MinMax,
    MovingAverage,
    Percentile,
    Product,
    QuotientRemainder,
    Sum,
    register_weights,
    scores,
    top_k,
)
from tfcompress.layers.pruning import (
    Absolute,
    Activation,
    ByProbability,
    Global,
    Magnitude,
    NofM,
    OfMax,
    OfMean,
    PerLayer,
    PerOutput,
)
from tfcompress.outcomes import Costs, Outcomes
from tfcompress.plan import Plan, plan
from tfcompress.schedules import ConstantSparsity, Followed, Once, PolynomialDecay
from tfcompress.search import (
    Bayesian,
    Budget,
    EarlyEnd,
    Examples,
    ExpectedImprovement,
    Figures,
    Hyperband,
    ImproveFront,
    MaximizeQuality,
    MedianRule,
    MinimizeBytes,
    MinimizeLatency,
    Objective,
    OracleChoice,
    RandomDraws,
    SearchResult,
    SearchSettings,
    ToTheEnd,
    Trial,
    Work,
    pareto_front,
    search,
)
from tfcompress.sensitivity import Probe, Sensitivity, sensitivity
from tfcompress.sparse import load_sparse, save_sparse
from tfcompress.spec import Rule, Spec, rule
from tfcompress.streaming import factorize_table
from tfcompress.techniques import (
    AbsMax,
    AdaptiveBits,
    BudgetShare,
    ByActivation,
    ByNorm,
    ByScale,
    ByteBudget,
    Channelwise,
    Code,
    Deviations,
    Distill,
    Divergence,
    ErrorCorrecting,
    Factorize,
    Fixed,
    Fraction,
    Interactions,
    KeptEnergy,
    KMeans,
    Learned,
    MeanSquare,
    Nearest,
    OutputError,
    PerBlock,
    PerChannel,
    PerTensor,
    Prune,
    Quantize,
    QuantizeActivations,
    Share,
    Shrink,
    Sparsify,
    Spatial,
    SquaredError,
    Tier,
    WeightError,
    measure_harm,
)
from tfcompress.tune import Space
from tfcompress.where import by_name, by_size, by_type

__version__ = "0.1.0"
