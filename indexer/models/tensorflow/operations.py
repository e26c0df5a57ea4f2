"""List the operations that a SavedModel's program may use: arithmetic, pictures, tables, and the flow between them.

A SavedModel is a program, and TensorFlow has over a thousand operations, some of which read or write files, print into
them, open sockets or run Python. Those of the models that are supported (CXR Foundation, REMEDIS, image encoders made
by Keras, TF-Slim, TF Hub or jax2tf) are among these; what is not named is not run.
"""

from __future__ import annotations

from typing import Any

_NAMES = """
Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin AsString Asin Asinh Assert Assign AssignAddVariableOp
AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3
BatchToSpace BatchToSpaceND Betainc BiasAdd BiasAddV1 Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs
BroadcastTo Bucketize Case Cast Ceil CheckNumerics CheckNumericsV2 ClipByValue Concat ConcatOffset ConcatV2 Const
ControlTrigger Conv Conv2D Conv2DBackpropInput Conv3D Cos Cosh CropAndResize Cumprod Cumsum CumulativeLogsumexp
DataFormatDimMap DataFormatVecPermute DecodeAndCropJpeg DecodeBmp DecodeImage DecodeJpeg DecodePng DecodeRaw
DenseBincount DepthToSpace DepthwiseConv2dNative Dequantize DestroyResourceOp Diag DiagPart Digamma Dilation2D
DisableCopyOnRead Div DivNoNan Einsum Elu Empty EmptyTensorList EncodePng EnsureShape Enter Equal Erf Erfc Erfinv
EuclideanNorm Exit Exp ExpandDims Expm1 ExtractImagePatches ExtractJpegShape FakeParam FakeQuantWithMinMaxVars
FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod For FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
Gather GatherNd GatherV2 Greater GreaterEqual HashTableV2 Identity IdentityN If Igamma Igammac
ImageProjectiveTransformV2 ImageProjectiveTransformV3 InitializeTableV2 Inv Invert InvertPermutation IsFinite IsInf
IsNan L2Loss LRN LeakyRelu LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p LogSoftmax LogicalAnd
LogicalNot LogicalOr LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2 LoopCond LowerBound MatMul MatrixBandPart
MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiagV3 Max MaxPool
MaxPool3D MaxPoolV2 MaxPoolWithArgmax Maximum Mean Merge Min Minimum MirrorPad Mod Mul MulNoNan Neg NextAfter
NextIteration NoOp NonMaxSuppressionV3 NotEqual OneHot OnesLike Pack Pad PadV2 ParseExample ParseExampleV2
ParseSingleExample PartitionedCall Placeholder PlaceholderV2 PlaceholderWithDefault PopulationCount Pow
PreventGradient Prod QuantizeAndDequantizeV2 QuantizeAndDequantizeV4 QuantizeV2 RaggedGather RaggedRange
RaggedTensorToSparse RaggedTensorToTensor Range Rank ReadVariableOp Real RealDiv Reciprocal ReduceJoin RegexReplace
Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather ResourceGatherNd
Reverse ReverseSequence ReverseV2 RightShift Rint Round Rsqrt ScaleAndTranslate ScatterNd SegmentMax SegmentMean
SegmentMin SegmentProd SegmentSum Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot Softmax
Softplus Softsign SpaceToBatch SpaceToBatchND SpaceToDepth SparseFillEmptyRows SparseReshape SparseSegmentMean
SparseSegmentSum SparseTensorDenseMatMul SparseToDense Split SplitV Sqrt Square SquaredDifference Squeeze
StatefulPartitionedCall StatelessCase StatelessIf StatelessRandomGetKeyCounter StatelessRandomNormalV2
StatelessRandomUniformV2 StatelessTruncatedNormalV2 StatelessWhile StaticRegexFullMatch StaticRegexReplace
StopGradient StridedSlice StringJoin StringLength StringLower StringSplitV2 StringStrip StringToNumber Sub Substr Sum
Switch Tan Tanh TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListReserve
TensorListSetItem TensorListStack TensorScatterAdd TensorScatterUpdate Tile TopK TopKV2 Transpose TruncateDiv
TruncateMod Unique UniqueV2 Unpack UnsortedSegmentMax UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp
VariableShape VariableV2 Where While Xdivy XlaBroadcastHelper XlaCallModule XlaConvV2 XlaDotV2 XlaDynamicSlice
XlaDynamicUpdateSlice XlaEinsum XlaGather XlaPad XlaReduce XlaScatter XlaSharding XlaSort XlaVariadicReduceV2
XlaVariadicSort Xlog1py Xlogy ZerosLike
"""

# Of tensorflow-text, which text models may need.
_TEXT = """
CaseFoldUTF8 FastWordpieceTokenizeWithOffsets NormalizeUTF8 RegexSplitWithOffsets SentencepieceOp
SentencepieceTokenizeOp WordpieceTokenizeWithOffsets
"""

ALLOWED = frozenset(_NAMES.split() + _TEXT.split())

_RESTORING = frozenset({"RestoreV2", "Restore", "ShardedFilename"})
"""What the restoring of variables uses besides; TensorFlow gives it the name of the file."""

_INITIAL = ("saved_model_main_op", "legacy_init_op")


def others(meta_graph: Any) -> set[str]:
    """Name the operations, not allowed, that loading or calling a MetaGraphDef would run.

    What saves the variables again stands in every SavedModel, and is neither loaded nor called by us: it counts only
    where something else leads to it.
    """
    graph = meta_graph.graph_def
    functions = {function.signature.name: function for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    called = set(meta_graph.object_graph_def.concrete_functions)
    # TensorFlow may put one function of a name of this kind in the place of another.
    called |= {name for name, function in functions.items() if "api_implements" in function.attr}
    starts = {output.name for signature in meta_graph.signature_def.values() for output in signature.outputs.values()}
    for key in _INITIAL:
        starts |= set(meta_graph.collection_def[key].node_list.value) if key in meta_graph.collection_def else set()
    run = _leading_to(starts, nodes)
    restoring = set() if called else _leading_to({meta_graph.saver_def.restore_op_name}, nodes) - run
    used = _within(run, called, nodes, functions)
    return (used - ALLOWED) | (_within(restoring, set(), nodes, functions) - ALLOWED - _RESTORING)


def _leading_to(names: set[str], nodes: Any) -> set[str]:
    """Return the nodes of these tensors, and all that they depend on."""
    reached: set[str] = set()
    left = [_node(name) for name in names]
    while left:
        name = left.pop()
        if name in nodes and name not in reached:
            reached.add(name)
            left += [_node(tensor) for tensor in nodes[name].input]
    return reached


def _within(run: set[str], called: set[str], nodes: Any, functions: Any) -> set[str]:
    """Return the operations of these nodes and functions, and of all functions that they call."""
    used: set[str] = set()
    seen: set[str] = set()
    left = list(called)
    for name in run:
        left += _operations(nodes[name], used)
    while left:
        name = left.pop()
        if name in functions and name not in seen:
            seen.add(name)
            for node in functions[name].node_def:
                left += _operations(node, used)
    return {operation for operation in used if operation not in functions}


def _operations(node: Any, used: set[str]) -> list[str]:
    used.add(node.op)
    names = [node.op]
    for value in node.attr.values():
        names += [value.func.name, *(function.name for function in value.list.func)]
    return [name for name in names if name]


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
