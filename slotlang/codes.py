"""Every diagnostic code with the text of ``slotlang explain CODE``.

SL0xx files and arguments, SL1xx syntax, SL2xx names and sizes, SL3xx layouts and expressions,
SL4xx lowering and parameters, SL5xx adapters, arrays and runs, SL56x to SL58x the service, SL6xx drawing,
SL7xx all sizes, certificates and modules, SL8xx the machine, SL9xx bugs.
"""

from __future__ import annotations

import textwrap

from slotlang.words import EXPRESSION_WORDS

_RESERVED = f"Choose another name. Reserved: the statement keywords and {', '.join(EXPRESSION_WORDS)}."

EXPLANATIONS: dict[str, str] = {
    "SL001": """A file could not be read.

The path does not exist, is a folder, or may not be read by you.""",
    "SL002": """A program file is not text.

Programs are UTF-8 text. This file holds other bytes; most often the path is that of another file.""",
    "SL003": """A program file is too long.

Programs are short texts; a file of more than a megabyte is refused before it is parsed.""",
    "SL004": """A file could not be written.

The folder does not exist, or may not be written by you. Nothing was changed.""",
    "SL005": """A command-line argument is wrong.

Sizes are set as `--set name=value` with an integer value. The message says what was expected.""",
    "SL006": """A file is to be read and written, or written twice.

The paths name one file, perhaps through links; files that a program imports and those of an adapter's folder are read
as well. Nothing was written. `fmt` changes programs in place; every
other command wants another file for what it writes.""",
    "SL007": """A folder is to be written whole, and there is something in it.

A bundle is the emitted module with the runtime beside it. It replaces nothing, so that no file of another version stays
in between: name a new folder, or an empty one.""",
    "SL008": """A file is not a program, but something that slotlang wrote, or Python.

`lower` writes modules: `python FILE` runs one, and `slotlang check FILE` checks it. `check --certificate` writes
certificates, which `slotlang recheck FILE` takes. The other commands take `.slot` programs.""",
    "SL009": """Programs that compute different things are compared.

`compare` puts programs side by side whose inputs and results have the same shapes. `--set d=1024` sets the size of that
name where a program has one: in another, it may be d_in and d_out. The message states the shapes of both.""",
    "SL010": """A file is to be started, and it is there already.

`new` and `puzzle start` write new files and replace nothing. Name another file with `-o`, or remove this one. Nothing
was changed.""",
    "SL011": """A file is not the solution of a puzzle.

`puzzle check` knows the puzzle by the program's name, which stays as the puzzle has it: `program layout(...)`.
`slotlang puzzle` lists the puzzles, and `slotlang puzzle start NAME` writes one.""",
    "SL101": """A bracket is not closed, or closes nothing.

A statement may span lines inside parentheses or brackets, so an open bracket swallows the lines after it. The
message names the bracket where the trouble starts.""",
    "SL102": """A word or sign stands where it can't.

The label under the caret says what could stand there. Statements start with a keyword (`let`, `require`, `input`,
`weight`, `scalar`, `bound`, `axes`, `cipher`, `plain`, `perm`, `claim`, `output`, `prove`, `parameters`, `def`,
`import`) or with the name of a computed family. Equality in `claim`, `prove` and conditions is `==`; definitions use
`=`.""",
    "SL103": """A statement ends too early.

An operand or a bracket is missing at its end. A statement ends with its line unless a bracket is open.""",
    "SL104": """An expression is nested too deeply.

Name its parts in statements of their own.""",
    "SL105": f"""A word of the language is used as a name.

{textwrap.fill(_RESERVED, 115)}""",
    "SL106": """Something after an operand is not known.

A read may be followed by `else 0` (zero outside the tensor) and a matrix by `.T` (its transpose).""",
    "SL107": """A sum's `by` is not known.

`by tree`, `by horner`, `by doubling` and `by bsgs(n)` pick how a sum is evaluated. They never change what it
means. Without `by` the terms are added in order. `bsgs` has its number of baby steps in parentheses, 1 or more;
`doubling(k)` adds up to k rotated copies at a time, 2 or more, and `doubling` two.""",
    "SL108": """The program is empty.

A program starts with `program NAME(size = default, ...)`.""",
    "SL109": """Parameters are written wrongly.

`parameters degree 4096 primes 42, 42, 25 scales 25, 27, 23 drops 1 keys 8, 64`: the degree of the ring, the bits of
each prime (the last is the key prime), the bits of scale (one number, or one for the inputs and one for the plaintexts
of each product in a row), and, where they are wanted, after which products a prime is dropped and which rotations have
a key. `results 1` says that the last one of `drops` is dropped of results alone, when they are complete, and
`cut 7, 2` how many last bits of their coefficients are not sent. Every word stands once, in any order.""",
    "SL110": """A definition is written wrongly.

`def name(a, b) = expression` names an expression. `def name(a, b):` names statements, up to a line `end`: let, require,
perm, cipher, plain, claim and computed families, of which the last one is its result.""",
    "SL111": """A definition is not known, or is used with a wrong number of arguments.

A definition is used by its name with as many arguments as it has parameters: `diagonal(M, q)`. One of
`import "std/layouts.slot" as l` is written `l.diagonal(M, q)`.""",
    "SL112": """A definition uses a name that is not its own.

It may use its parameters, `slot`, `slots`, its own loop variables and other definitions. In a program's own file it may
also use what the program declares above the use: never a loop variable that happens to be there. Make the name a
parameter.""",
    "SL113": """A definition is defined by itself.

Definitions are expanded where they are used, so none can use itself, at once or through others.""",
    "SL114": """A name of a definition or of an import has another meaning already.

Nothing is shadowed: definitions, imports, parameters and what a program declares have different names. Two imported
files that define one name are told apart by `as`: `import "./mine.slot" as m`, and then `m.diagonal(M, q)`.""",
    "SL115": """What definitions stand for is too large.

At most 2,000 definitions are read, and they may put 50,000 names, numbers and operators into a program, nested as
deeply as any expression. A definition that uses another one twice doubles it: name parts in statements of their
own.""",
    "SL116": """A definition stands where it can't.

One of several statements is the whole right side of a family, `Y = product(X, D)`, of the kind that its last family
has. Where a name is needed, as for a permutation, the argument is a name.""",
    "SL117": """An import leads outside.

`import "./mine.slot"` names a file in the folder of the file that imports it, or below, `import "std/layouts.slot"` one
of the library. There are no absolute paths, none through `..` or links that leave the folder, and a text that is in no
folder imports from the library alone.""",
    "SL118": """A file can't be imported.

It can't be read, or holds more than definitions and imports. Programs stand in files of their own.""",
    "SL119": """Files import each other in a circle, or too many in a row.

Move what both need into a third file.""",
    "SL120": """It is open which program of a file is meant.

`check FILE` checks all programs of a file. Other commands take one: `FILE:name`. Each has its own name, and definitions
and imports come before the first.""",
    "SL121": """A file of the library is missing, or is not the one that slotlang was released with.

A proof of a program that imports `std/layouts.slot` rests on what that file says, so slotlang reads it only unchanged:
it compares the file with the sha256 that the package lists for it in `std/SHA256SUMS`. Install slotlang again. To
change a definition, copy the file beside your program and import the copy: `import "./layouts.slot" as l`.""",
    "SL201": """A name is not known.

It is declared nowhere above its use, or misspelled. Names must be declared before they are used.""",
    "SL202": """A name is declared twice.

Sizes, tensors, scalars, digits, families, permutations and outputs share one set of names; a loop variable
may reuse the name of another statement's loop variable and no other.""",
    "SL203": """A name or value of the wrong kind.

Indices are integers: sizes, loop variables, slot digits and constants. Values are what slots hold: families,
elements of tensors, scalars and constants. The message says which is needed.""",
    "SL204": """A division is not exact.

`/` between integers must divide without remainder, so that a program can't silently drop channels. Choose
other sizes, or write `//` for the floor and `%` for the remainder.""",
    "SL205": """A divisor is not a positive size.

The right side of `/`, `//` and `%` is made of sizes and constants and is at least 1. Otherwise index maps
would leave the arithmetic in which programs are proved.""",
    "SL206": """An integer is out of range.

Sizes and constants lie below 2^40, and sizes of the header are not negative. No index expression may come to
more than 2^62 on the way to its value, so that 64-bit arithmetic is exact.""",
    "SL207": """Something that is the same for all slots depends on the slot.

Which member of a family is meant, and by how much a ciphertext is rotated, is decided for the whole vector.
Slot digits and `slot` may stand in indices of tensors, in brackets and in conditions.""",
    "SL208": """A condition is needed.

`require`, `where` and brackets take comparisons joined by `and`, `or`, `not`.""",
    "SL209": """Something would be empty.

Loops, families, digits and tensors have an extent of at least 1.""",
    "SL210": """The number of slots is missing or out of range.

It is the size named `slots`, or else the product of the extents of the first `axes` statement; between 1 and
2^40, and fixed before the first vector.""",
    "SL211": """The program's header is missing.

The first statement is `program NAME(size = default, ...)`.""",
    "SL212": """A size that does not exist is set.

--set takes the sizes named in the program's header; values made by `let` follow from them.""",
    "SL213": """A size has no value.

A size without a default needs one: `--set d=4096`.""",
    "SL214": """A requirement does not hold.

The program says for which sizes it is meant. The message shows both sides with their values.""",
    "SL215": """An input is declared sparse.

Inputs are encrypted; their zeros are not known. Only weights can be sparse.""",
    "SL216": """The digits do not make up the slots.

The product of the extents in `axes` is the number of slots.""",
    "SL217": """The limit of a bound is not a positive number.

`bound |x| <= 8`: a limit is made of numbers and sizes with + - * / and comes to more than zero, between 2^-128 and
2^128. It is computed exactly.""",
    "SL218": """A magnitude is bounded twice.

One `bound` says how large the elements of a tensor are, and one, for each dimension, how large the norms along it are.
The message shows both limits. On the command line, --bound and --bound-norm replace what the program says.""",
    "SL219": """A bound is about something that has no bound.

Inputs, weights and scalars are bounded: what comes from outside. Sizes have values, and how large a family's slots get
follows from its definition.""",
    "SL220": """The shapes in a tensor expression do not fit.

`@` is the matrix product of the last two dimensions, and the others are equal. `+`, `-` and `*` of tensors need equal
shapes: only numbers are broadcast. `.T` transposes a matrix, `.mT` the last two dimensions. A vector is a column on the
right of `@` and a row on its left. What differs in shape is said by elements: `prove y[i < n] == ...`.""",
    "SL221": """Something in a tensor expression is not a tensor.

Tensor expressions are built from declared tensors, `ones`, `zeros` and `eye` with `@`, `+`, `-`, `*`, `**`, `.T` and
`.mT`, and from numbers or scalars with `*`. They are divided by numbers only, and exponents are whole numbers from 1 to
64. A theorem by elements speaks of tensors and scalars, and of no slots.""",
    "SL222": """A tensor expression is too large.

Products of sums are multiplied out. Write the specification with fewer sums inside products, and smaller powers.""",
    "SL223": """A norm does not go along one dimension of a tensor.

`bound norm(x[:, t]) <= 64` is about the Euclidean norm of every column of x, `bound norm(B[q, :]) <= 1` about that of
every row of B: one `:`, and a name for each other index. `norm(u)` is that of a vector. A scalar is bounded by
`bound |s| <= 2`.""",
    "SL224": """A program names parameters twice.

`parameters degree ... primes ... scales ...` stands once in a program. For one command, --parameters gives others.""",
    "SL230": """A permutation is written wrongly.

`perm p: (h, t) -> (t, h)` takes the digits of one axes statement; each target is made of one source digit.
`perm p: slot -> expr` takes the whole index. `perm p: cycles (0, 1, 2), (5, 7)` moves slot 0 to 1, 1 to 2, 2
to 0.""",
    "SL231": """A permutation is not a bijection.

Two slots would go to the same slot, or one would leave the vector. The message names them. This is decided at
every slot.""",
    "SL240": """A function of integers has no value.

`log2(n)` is exact, so `n` is a power of two, made of sizes and constants. The exponent of `a ** k` is a whole number,
0 or more. `(a ^ b)` takes numbers that are 0 or more. The message gives the values; where they depend on a loop
variable, choose: `(2**(k - 1) if k > 0 else 0)`. A branch that is not taken is not looked at.""",
    "SL241": """A family's recursion does not go down.

A family may read its own members, those that stand before the one that is defined: of a smaller first index, or of
the same one and a smaller second, and so on. The first of them is a choice:
`S[k < 5] = (X if k == 0 else S[k - 1] + ...)`.""",
    "SL242": """The terms of a sum differ by more than their index.

A choice by a sum's own variable, or a member of a family that is written out, makes other operations of each term. They
are added up one by one, or `by tree`; `horner`, `doubling` and `bsgs` need terms of one form.""",
    "SL301": """`re` or `im` of something encrypted.

The real part is known only after decryption, in an `output`. On a ciphertext it costs a conjugation: `1/2 *
(v + conj v)`.""",
    "SL302": """This is not a slot value.

Conditions become values in brackets, tensors through their elements.""",
    "SL303": """The number of indices is wrong.

A tensor or family takes one index per dimension.""",
    "SL304": """`else 0` after something that is not a tensor.

Only reads of tensors can be padded with zeros.""",
    "SL305": """An index leaves a family.

The message gives the values at which it does.""",
    "SL306": """Whether an index stays inside can't be told.

Bounds on the index do not show it, and there are too many values to try. Write the index more simply: with
each variable once, where that can be done. A read of a tensor may also be given `else 0`.""",
    "SL307": """Plain and encrypted are mixed up.

`plain` families hold weights, scalars and constants; `cipher` families are packed by the client; a computed
family has no keyword and needs a ciphertext in it.""",
    "SL308": """A read leaves its tensor.

At the slot named, the index lies outside the tensor's shape. If zeros are meant there, write `else 0` after
the brackets; otherwise the layout or the sizes are wrong.""",
    "SL309": """The program is too large at these sizes.

What was asked for would not fit in memory. A permutation's table is kept for 2^20 slots at most. For proofs,
the polyhedral method has no such limit: `slotlang check --method polyhedral`. A module has a function for
each plain family, and these may call each other 200 times in a row.""",
    "SL310": """A claim is not about a family.

`claim S == e`, `claim P[q] == e` or `claim P[0] == e`.""",
    "SL311": """An output does not read a ciphertext.

`output y[indices] = Y[c]`, or `re Y[c]`, or `im Y[c]`. A number has no indices: `output y = S where slot == 0`.""",
    "SL312": """Outputs and theorems do not match.

Every `output y` needs one `prove y == ...`, and every `prove` an output. A program proves something.""",
    "SL313": """A tensor is read by someone who does not have it.

The client packs inputs into `cipher` families; the server makes `plain` families from weights and scalars;
computed families work on both.""",
    "SL331": """Something is never used.

A warning: a size, a weight or a scalar that no statement mentions, a family that no output depends on, so that nothing
computes it, or a definition of a program's own file that no program there uses. Leave it out, or use it.""",
    "SL332": """A claim is about a family that nothing executes.

A warning: the claim is proved or refuted as any other, but no output depends on the family, so that it says nothing of
what runs.""",
    "SL333": """The outputs do not depend on an input.

A warning: whatever the client encrypts of it, the results are the same. It is uploaded for nothing, or a family that
reads it was forgotten.""",
    "SL401": """A sum can't be evaluated as its `by` says.

`horner` and `doubling` take `sum q < R: v << q*step`, a sum of rotations in equal steps; with `doubling` the
vector must not depend on the loop. `bsgs(n)` takes `sum q < R: (v << q*step) * w`. Without `by`, and with
`tree`, any sum can be evaluated.""",
    "SL402": """A permutation can't be lowered.

It has no network of rotations and masks within the levels that 128-bit parameters can hold.""",
    "SL403": """`by bsgs` meets a permutation.

Baby and giant steps move rotations from a sum to the vectors under it, and a rotation does not pass through a
permutation. Name the permuted vector in a statement of its own.""",
    "SL404": """Parameters are not secure or not deep enough.

128-bit security is the floor: 109 bits of modulus at degree 4096, 218 at 8192, 438 at 16384, 881 at 32768.
Every product in a row needs room in the modulus. Results can drop primes as the last thing that is done to them where
all of them are computed, have as many products behind them as any ciphertext has, and nothing else reads them.""",
    "SL405": """The number of slots does not fit the ring.

Ciphertexts have a power of two of slots. A program with fewer slots than the ring is repeated to fill it, so
its slots must divide the ring's.""",
    "SL406": """The program is not proved.

Only what is proved is lowered. `slotlang check` shows what is wrong; `--unproved` lowers it all the same and
writes that into the module's header.""",
    "SL407": """There is no room to hide slots that are not part of the result.

Slots that no output reads are masked by random values up to 2^16 times the proved bound of what they hold, and where
one part of a result is read, twice that part is returned (docs/security.md). Above the scale of the result masks need 3
bits of modulus more than they have themselves, and twice a part 3; masks are never smaller because bits are short. A
standalone module masks parts too, in place of returning half of c0, so it may need more room than a module with the
runtime. The message says what slots may hold, and which parameters or bounds would do. Choose smaller scales or more
primes, or `--precision`; lower the bounds; make the slots zero with a 0/1 plaintext as the last factor; or return
everything as it is with `--hide none`.""",
    "SL408": """A set of Galois keys does not make every rotation.

Where `Parameters.keys` gives the steps that have a key, all other rotations of the program are composed of rotations
by these. They lie between 1 and the number of slots, and every step of the program has to be a sum of them, modulo the
slots.""",
    "SL409": """No ring has vectors of this many slots.

A note: the program is proved or refuted as any other, but `run`, `lower` and `cost` refuse it (SL405, SL404). Vectors
of a ring have a power of two of slots, 16,384 at most. Pad the layout: make the outermost digit larger, and read with
`else 0` what lies beyond the data.""",
    "SL411": """The bounds do not fit the parameters.

Where all weights and scalars have a bound, a program is lowered only if no message can wrap around the modulus, for all
inputs and weights within the bounds, noise and masks included, with one bit to spare. The message says which moment is
too tight, by how many bits, and how large the bound that costs most could be. Only norms and elements are looked at, so
that real weights may fit where their bounds do not. Lower the bound, search parameters with `--precision`, or leave out
bounds of weights: these are then checked when they are encoded.""",
    "SL412": """No parameters hold the bounds.

No degree, primes and scales with 128-bit security hold every message within the program's bounds, at the precision that
is asked for. The message names the largest bounds that can be had. Lower the bound, and scale down what it is about:
results that are linear in an input or a weight are scaled with it.""",
    "SL441": """A profile can't be read.

A profile holds measured times of TenSEAL's operations; `slotlang calibrate` writes one. It is looked for at --profile,
then at the environment variable SLOTLANG_PROFILE, then at `slotlang/profile.json` in `$XDG_CONFIG_HOME` (`~/.config`),
and then in the package. One that was named must be there.""",
    "SL442": """A file is not a profile, or is a profile of another version.

It is damaged, was edited, or a later version of slotlang wrote it. Measure again with `slotlang calibrate`, which
writes it anew; deleting the file brings back the profile that comes with the package.""",
    "SL443": """A profile was measured with another version of TenSEAL.

This is a warning: times are still predicted, and may be off. `slotlang calibrate` measures the version installed.""",
    "SL444": """A profile was measured on another machine.

This is a warning: times are still predicted, for the machine the profile names. Their ratios are usually closer to the
truth than the times themselves. `slotlang calibrate` measures this machine in less than a minute. Only a
profile that somebody chose is warned of; for the one that comes with the package, a note below the times says it.""",
    "SL445": """TenSEAL can't be imported, so there is nothing to measure.

`slotlang calibrate` runs TenSEAL's operations. Install the package with its dependencies.""",
    "SL446": """A degree is not one of those measured.

`slotlang calibrate --degree` takes the degrees 4096, 8192, 16384 and 32768. Smaller ones are predicted from the nearest
of these.""",
    "SL447": """A program has no formulas.

`slotlang cost --symbolic` derives counts from the operations with their loops kept, and answers only what holds at
every size that meets the conditions it prints. It says no where members of a loop may be the same vector, where
statements may compute the same, where a plaintext may be zero whatever the weights, where rotations may go past a full
turn, where it takes a search to place relinearisations, and for parameters with keys for some steps only.
`slotlang cost` counts such a program at given sizes.""",
    "SL451": """A precision can't be had.

`--precision P` asks for parameters whose predicted relative rms error is at most P. No degree, primes and scales with
128-bit security reach it for this program (and `--max-key-bytes`, if given); the message names the best that do, and
the fewest bytes of keys that will. Fewer products in a row, fewer slots and larger bounds leave more room.""",
    "SL461": """A shape can't be searched.

`slotlang synth` takes the widths of x and y, the rank and the number of tokens, each at least 1 and at most 2^20.
`--copies` is at least 1, and `--max-memory` is not negative.""",
    "SL462": """No structure reaches the precision.

`slotlang synth --precision P` wants a predicted relative rms error of at most P, with 128 bits of security. Ask for
the error that the message names, or for fewer products in a row.""",
    "SL463": """An objective is not known.

`--objective` of `synth` and `optimize` takes time (of the server, predicted), rotations (key switches) and keys (bytes
of Galois keys), that of `synth` traffic (bytes up and down) and latency (client, link and server) too.""",
    "SL464": """No structure has so few bytes of Galois keys.

`--max-key-bytes` bounds the Galois keys as the server holds them. The message says what the smallest found take.""",
    "SL465": """No structure fits the memory.

`--max-memory` bounds the bytes of keys, encoded weights and ciphertexts that the server holds at the peak. The message
says what the smallest found take.""",
    "SL466": """A link can't be read.

`--link` of `synth` is a rate above 0, a number with bit, kbit, Mbit or Gbit (a second): `--link 100Mbit`. `--rtt` is
the time above 0 that a byte and its answer take, a number with us, ms or s: `--rtt 20ms`.""",
    "SL471": """--kernel names a kernel that does not exist.

`compiled` is compiled kernels on residues (docs/kernels.md), `matrix` is matrix products over residues
(docs/columns.md), `seal` uses SEAL's operations, one by one, and `auto`, which is the default, is `matrix` where that
is predicted to be faster, and else `compiled`.""",
    "SL472": """A program can't be evaluated by the kernel that --kernel names.

`seal` and `compiled` evaluate every program. `matrix` takes a schedule that only adds
ciphertexts up, each times a constant: no rotation, no conjugation, no product of ciphertexts, no rescale, and one real
number in all slots of every plaintext. Column packing is such a layout: one channel per ciphertext, tokens in the slots
(programs/columns.slot). The message says what stands in the way.""",
    "SL473": """Results can't be sent in SEAL's format.

With `--wire seal` clients and servers exchange objects that SEAL saves (docs/bytes.md). Where one part of a result is
read, half of c0 is sent, which also hides the other part, and parameters may cut last bits off results: SEAL has no
such ciphertexts. `--hide exact` hides the part that is not read by adding the conjugate: one more key switch.""",
    "SL501": """An adapter folder could not be read.

A PEFT adapter is a folder that holds `adapter_config.json` and `adapter_model.safetensors`, or the shards of it. One of
them is missing, is not a regular file, is larger than what is read (1 MiB and 4 GiB), is a pointer of git-lfs, or is
not valid JSON or safetensors (truncated downloads are the usual cause). The message names the next step; where
adapters lie in folders below, it names them. A pickled `adapter_model.bin` is never read, since loading it can run
code.""",
    "SL502": """An adapter does not hold the module that was asked for.

Modules are named by their path in the base model, such as `encoder.layer.0.attention.self.query`. A unique
suffix is enough. The message lists what the adapter holds, and so does `slotlang adapter show`.""",
    "SL503": """An adapter's configuration asks for something that is not supported or makes no sense.

`use_dora` rescales the sum of base weight and update, and `lora_bias` adds a bias to the update: neither is
scaling * lora_B @ lora_A @ x. Modules under such options are listed by `slotlang adapter show` and refused when they
are asked for; the other modules can be run. `target_parameters` (stacked experts) concerns the modules that it names.
Other reasons concern the whole adapter: a rank below 1, an alpha that is not a number, a key of `rank_pattern` or
`alpha_pattern` that is not a regular expression or could take for ever to match.""",
    "SL504": """The tensors of an adapter, or of one of its modules, can't be run.

`lora_A` must be (rank x d_in) and `lora_B` (d_out x rank) with the rank the configuration gives for that
module, in float32, float16, bfloat16 or float64, with finite values. That holds with `fan_in_fan_out` too,
which speaks of how the base layer stores its weight. Convolutions, embeddings, modules with other tensors beside the
two matrices, and modules that DeepSpeed saved empty are refused when they are asked for; the others can be run. Base
weights, `modules_to_save` and embeddings of new tokens are not used. A file without LoRA matrices, or with those of
two adapters, is refused as a whole.""",
    "SL505": """An array of activations can't be used.

It must be a .npy, .npz or safetensors file (no pickled objects) of real numbers, all finite, with a row per token:
(tokens x features). A one-dimensional array stands for a single token. A file with several arrays must call one by the
name of the program's input. A program's input holds a token per column, so the array is transposed when it is read.
Whole numbers are read where a float of as many bytes holds them exactly; larger ones are bit patterns of floats, as
when bfloat16 is saved as uint16.""",
    "SL506": """The program does not fit the weights or the tokens.

The shapes of an adapter's matrices must be the shapes of the program's `weight` declarations. Sizes that stand alone
as a dimension follow from the module; others are set with --set. A program that has one size for both widths takes
square modules only. --activations and --tokens need a program with one input that treats each token by itself; --data
gives the arrays of any program.""",
    "SL531": """An input is larger than the program takes.

CKKS computes modulo a product of primes. A message that outgrows it wraps around, and decrypts to garbage without a
word. So every module states the largest inputs that it takes: the Euclidean norm of a token, or each element. They are
what the program's `bound` statements say, or `--bound` and `--bound-norm`, or else 4 * sqrt(d), at least 32, for a
token of d elements. The client refuses larger ones before anything is sent; the server refuses an upload that was
encrypted under larger limits. Scale the input down and the result up, or lower the program with larger bounds.""",
    "SL532": """With these weights a message could wrap around the modulus.

Weights are encoded only if no message can wrap, for any input within the program's limits, noise and masks included.
The message says which moment is too tight, how many bits are missing, and which smaller bounds of the inputs would do.
Or slots that no output reads could hold more than their masks are made for, which are as large as the parameters had
room for when the program was lowered: give bounds of the weights (`--bound`), and masks follow them.
Lower the program for these weights (`--adapter`, `--data`): then fixed parameters take smaller scales, as far as that
helps, and `--precision` searches others. Or lower it with smaller bounds, or scale the weights down and the result
up.""",
    "SL533": """A decrypted result is larger than the guarantee allows.

Inputs within their limits and weights that were checked leave half of the modulus empty. A coefficient in that half
comes from somewhere else: weights that were not checked, another program's results, or damage. This is a tripwire and
not the guarantee: a value can wrap to a small one.""",
    "SL534": """Weights are larger than the program assumes.

The program's `bound` statements say how large weights and scalars may be, and these are larger. Lower the program with
bounds that hold for them.""",
    "SL535": """A result is below the precision of the parameters.

The error of CKKS is absolute. A module says how large the rms error of each result is, for the data that it was lowered
for, and which relative error was asked for. A result whose rms is below the one over the other is not known to that
relative error: it is neither wrong nor right. Larger weights (SL538) and larger inputs have larger errors, which count.
Weights can be too small as well: encoding rounds them, and warns where that alone loses the relative error, however
large the inputs are. Decryption warns of results (`slotlang_runtime.BelowPrecision`), and so do `run` and a module's
`main`. Scale the input up and the result down, or lower the program for this data (`--adapter`, `--data`).""",
    "SL536": """A run failed: its result is below the noise.

The error of the run is what its parameters promise, and it is too large for the relative error that was asked for,
since the result is small. The message says how large the result would have to be, and the hint names parameters that
would do for this data.""",
    "SL537": """A run failed: its error is larger than noise explains.

A value was too large for the parameters, though weights and inputs passed their checks. Please report it with the
program and the data.""",
    "SL538": """With these weights errors are larger than promised.

The rms error that a module promises is about the weights that it was lowered for, or else about weights of unit
variance, or as large as their bounds allow. `Weights.encode` takes others too, for which no message wraps. It runs the
evaluation on slots with errors beside them, and warns (`slotlang_runtime.BeyondPromise`) where the error to expect is
more than twice what was promised: weights are larger, or their rows are aligned. The message names the weights and by
how much. Results say so to the client, whose warning of results below the precision (SL535) counts the larger error.
Lower the program for these weights (`--data`, `--adapter`), or for larger ones (`--bound`).""",
    "SL541": """This input can't be equalized by these exponents.

An equalized input is divided by a power of two for each of its channels, and the weights that meet the channels are
multiplied by it. Exponents are whole numbers from -256 to 256, one for each index of the input's first axis. The
theorems must be sums of products that end with the input, with a weight before it: `A @ B @ x` multiplies the columns
of B. A weight that stands elsewhere too, or an input that does not stand last, can't be equalized. Nor can numbers that
would overflow or become subnormal, since the division must be exact.""",
    "SL542": """An upload is equalized otherwise than the weights expect.

Client and server must have the same exponents for each input: `Client(module, equalize=...)` and
`Weights.encode(module, equalize=...)`. All programs that read one upload must have them too.""",
    "SL543": """These bytes are not what was written.

Keys, inputs, weights and results travel in containers that say how long they are, with a checksum, and each object in
them is read field by field before SEAL sees it. Bytes that were cut off, changed or made by something else are refused.
Send or save them again.""",
    "SL544": """These bytes belong to something else.

Keys belong to a ring, inputs to a ring, a scale and a packing, weights and results to one program with its functions
and parameters. The message names both sides. Keys may also lack a rotation that the program does: make them for all
programs that use them.""",
    "SL545": """A module can't be evaluated as it stands.

Its parameters, or what its functions do, are not what a module has that `slotlang lower` wrote: a scale beyond the
modulus, a rotation without a key, a packing that was edited. `slotlang check` says more. Lower the program again.""",
    "SL551": """A folder was built by another slotlang.

`slotlang adapter build` goes on where an earlier build stopped, and changes nothing where all is done. What another
version of slotlang, of its runtime or of TenSEAL has built is not mixed with that: the message names both versions.
Build into another folder, or replace this one with `--force`.""",
    "SL552": """A folder can't be built into.

It holds the build of another adapter, or something that no build wrote, its files were edited or damaged, or another
process builds into it. Nothing in it is overwritten. `--force` replaces the build of another adapter, such as an
earlier one of an adapter that was trained further.""",
    "SL553": """A list of modules that read one input is wrong.

`--shared-inputs FILE` takes a JSON list of lists of names. Modules of one parent whose paths end in the names of a list
read the same input, and become one program with several results. No name stands twice, and the modules read as many
channels. A list of which no two modules are there changes nothing, and is a warning.""",
    "SL554": """An adapter can't be built.

No module of it can be run, its modules are too large for the number of tokens, or the disk has no room for the encoded
weights.""",
    "SL511": """A worker could not start.

`run --workers N` shares evaluations between N threads. The system refused one of them, most often for want of memory,
or because a limit on threads is reached. One worker needs no other thread.""",
    "SL512": """The cache of encoded weights can't be used.

--cache names a folder; it is made if need be, and files are written and replaced in it.""",
    "SL513": """Cached weights were damaged.

A file in the folder of --cache is not what was written there: cut off, changed, or of another program. It is not used:
the weights were encoded anew and kept in its place. A warning; the run is as good as any.""",
    "SL514": """All tokens of a file would take long.

`slotlang run --activations FILE` evaluates every token of the file. When that is predicted to take more than two
minutes it asks first: `--tokens N` runs the first N tokens, and `--yes` runs them all. The time is predicted by the
profile in force (docs/cost.md).""",
    "SL515": """Encoded weights could not be kept.

The file in the folder of --cache could not be written, because the disk is full or the folder is not yours. A warning;
the run is as good as any, and the next one encodes the weights again.""",
    "SL520": """An adapter's update belongs to a changed base.

With `init_lora_weights` of pissa, corda, olora, lora_ga or loftq, PEFT changes the base weights before training, and
with `bias` of all or lora_only it trains the biases of the base. On the original base the update is wrong. PEFT
converts the first four where the adapter was trained: `save_pretrained(OUT,
path_initial_model_for_weight_conversion=INITIAL)`. Where the base model at the client is the changed one, say so with
--base-changed.""",
    "SL521": """This is not a PEFT LoRA adapter.

It is an adapter of another method (AdaLoRA and others) or of another library (MLX, kohya's scripts, diffusers). The
message says which, and what converts it.""",
    "SL522": """A key of `rank_pattern` or `alpha_pattern` matches no module.

A warning, as in PEFT: the key changes nothing. Most often it is a slip, and the modules that were meant have the
scaling of `lora_alpha` and `r`; `slotlang adapter show` lists what is used.""",
    "SL523": """An array of --data, or one for a module, can't be used.

`run --data FILE.npz` takes every input, weight and scalar of the program from arrays of their names and shapes.
Nothing is made up in the place of what is missing. Values must be finite real numbers, and zero where the program
declares zeros. Inputs come from --activations instead where that is given. A module's client, `Weights.encode` and its
own --data take the same arrays. Whole numbers are taken where a float of as many bytes holds them exactly, as in
SL505.""",
    "SL524": """An adapter's modules do not pair with the program's results.

A program with several theorems runs with a module for each. Results take the modules whose last names begin as theirs
do: yq, yk and yv take q_proj, k_proj and v_proj. Where that is not clear, `--module RESULT=MODULE` says it for each
result, and `--module layers.0.self_attn` names the layer. A program with one theorem takes one module.""",
    "SL525": """Two keys of `rank_pattern` or `alpha_pattern` match the same module.

A warning. PEFT takes the first key that matches, and so does slotlang. But PEFT sorts the keys when it saves an
adapter, so the first key in the file need not be the one that training used: PEFT itself then loads another scaling,
or fails on the rank. Write keys of which only one matches each module.""",
    "SL561": """A folder does not hold a built adapter.

`slotlang adapter build DIR -o FOLDER` writes `FOLDER/NAME/` with `manifest.json`, programs and encoded weights, and
`slotlang serve FOLDER` serves what it finds there. The message says what is wrong with the manifest; docs/protocol.md
has its keys. A manifest names the hash of its own contents and those of all files: build the adapter again in place of
editing it.""",
    "SL562": """A file of a built adapter is not the one that its manifest names.

Programs are Python and are executed, so the service loads none whose SHA-256 is not in the manifest, and weights
neither. The file was cut off, changed, or belongs to another build. `slotlang adapter build` makes it again.""",
    "SL563": """The service listens to no other machine without TLS.

Tokens would travel in the clear. Without `--ssl-certfile` and `--ssl-keyfile` the service takes addresses of the
loopback alone: 127.0.0.1, ::1, localhost. Put a proxy that ends TLS in front of it on the same machine, or give it a
certificate.""",
    "SL564": """The service can't keep its state.

Sessions, keys, tokens and stored answers lie in the folder of --state. It has to be a folder that the service may write
to, and one service has it at a time.""",
    "SL565": """The service can't listen to this address.

Another process has the port, the address is not one of this machine, or the certificate can't be read.""",
    "SL570": """A token is missing or unknown, or not an admin's.

`slotlang token add FOLDER TENANT` makes one and prints it once. Requests carry it as `Authorization: Bearer TOKEN`;
`slotlang client` takes it from the environment variable SLOTLANG_TOKEN or from --token-file. Loading and unloading
adapters, and metrics, need one that was made with --admin.""",
    "SL571": """There is no such adapter, module or session, or it is not yours.

What belongs to another tenant is answered as what does not exist. Sessions expire, and a service that has no room
for more keys ends the longest unused ones: make a new one.""",
    "SL572": """A request is not what the protocol says.

docs/protocol.md has the requests and their bytes, and the service describes itself at /docs and /openapi.json.""",
    "SL573": """A request is too large.

The service bounds the bytes of a body, of a key set and of a body with its answer, and the tokens of one request
(docs/serving.md). Send several smaller requests; the client does so by itself.""",
    "SL574": """A tenant asks for too much.

Requests and tokens are counted over time for each tenant, and so are sessions and bytes of keys. `Retry-After` says
when the same request will be taken. Sessions that are pinned or in use are never ended to make room.""",
    "SL575": """The service has no time for this now.

The queue, the room for bodies and answers or the disk is full, the system does not let the service use its files (its
log says why), an evaluation waited too long, or a body came too slowly. Nothing of it was given: send the same request
again, with the same idempotency key.""",
    "SL576": """An idempotency key was used for another request.

A request that is sent again under its key gets the answer that is stored. So a key belongs to one request: take a new
random one for each.""",
    "SL577": """The adapter has another version by now.

An update is asked for from one version of an adapter, and answers name it. The service has loaded another one since:
get what a client needs of it again. `Session` does so by itself, before anything was evaluated.""",
    "SL578": """The keys of a session are not there.

They were not sent to the end, or were damaged on the service's disk, which it noticed by their hash. Send them again;
`Session` does so by itself.""",
    "SL579": """The service failed in a way it should not.

Its log says how. Nothing is told to the client but that.""",
    "SL580": """The service can't be reached.

The address is wrong, no service listens there, its certificate is not trusted, the environment names a proxy that can't
be used, or the network failed more often than a client tries. What was asked for under an idempotency key can be asked
for again.""",
    "SL581": """The service answered otherwise than the protocol says.

Something else listens at this address, it leads to another one, it speaks another version of the protocol, or a proxy
before it changes answers. Clients follow no redirections: they would give the token away.""",
    "SL582": """The file of a secret key can't be used.

Whoever reads it can decrypt. So it has to be a regular file of your own that nobody else may read or write (mode 0600);
`chmod 600 FILE` makes it so. It is made when it is not there.

A key belongs to a ring, and the next version of an adapter may have another one: `adapter build` chooses primes by the
weights. `slotlang client keys URL --secret FILE --rotate` makes new keys in the place of the present ones. Where the
file serves another adapter too, name a new file for this one.""",
    "SL583": """A model and a service do not fit together.

`attach` replaces the updates of modules that the service has, found in the model by their names. The message says which
are not there, or have other sizes.""",
    "SL584": """The scheduler of --scheduler can't be reached.

No Dask scheduler listens at the address, or it does not accept the certificates. `dask scheduler` starts one, and
`dask worker ADDRESS` a worker; both need the same slotlang as the service.""",
    "SL585": """A worker of the scheduler can't be used.

It has another slotlang than the service, or none, or it is on another machine and has no TLS. Jobs go to
the other workers. Where there is no other one when the service starts, it does not start. Install the same slotlang on
all machines, and start workers with `--tls-ca-file`, `--tls-cert` and `--tls-key`.""",
    "SL586": """Ranks of a module can't be chosen so.

A gate names the ranks of a module that are on, as whole numbers from 0 below its rank, ascending, each once; an empty
list turns all off. It goes to modules of adapters that were built with `slotlang adapter build --gates`, and in the
runtime to results that are proved to be s * A @ B @ x with A and B of their own.""",
    "SL720": """--for-all names something that is not a size of the program.

Sizes stand in the program's header. What `let` defines follows from them and is free as soon as they are.
`--for-all all` takes every size of the header that has no value by --set.""",
    "SL721": """A size is both free and given.

--for-all proves the program for every value of a size, and --set gives it one value. Choose one of them.""",
    "SL722": """A size has nothing to do with the program.

No statement after the header mentions it, so that there is nothing to prove for all its values.""",
    "SL723": """--for-all does not go with --method or --certificate.

With --for-all the method is chosen by what the sizes allow; docs/for-all.md says how. A certificate speaks of given
sizes, and of a proof that can be re-checked without the prover.""",
    "SL724": """No sizes meet the program's conditions.

Its `let`s, `require`s and extents contradict each other at the sizes that are given, whatever the free ones are.
A proof for all sizes would say nothing.""",
    "SL741": """A file is not a module that `slotlang lower` wrote.

`slotlang check` takes .slot programs and the Python modules that `slotlang lower` writes. A module is read, never
executed: it has to be Python, and FORMAT, RUNTIME, LOWERED, PROGRAM, SIZES, PARAMETERS and KERNEL have to be
literals.""",
    "SL742": """A module carries another program than the one whose hash it has.

The hash in `MODULE` binds encoded weights and results to one program and its sizes. Where the text in `PROGRAM` or the
numbers in `SIZES` were changed, it is another program: lower that one.""",
    "SL744": """A module has another format.

The message names its format and the one that is checked here. Lower the program again; a module of another format is
checked by the slotlang that wrote it.""",
    "SL745": """A module was changed where it may not be.

Everything in a module is emitted from its program and parameters, and compared with what is emitted from them again.
The bodies of the functions that pack inputs, compute plaintexts, evaluate and unpack may be edited, and comments and
layout anywhere; a module that differs in anything else is refused before it is looked at any further.""",
    "SL746": """A module's runtime is another one.

What a module computes is what `slotlang_runtime` does with its tables, so a module names the hash of the runtime that
it was emitted for. The check is made with the installed runtime, and refuses a module that names another, or that has
another one beside it, as a bundle that was edited. It also refuses what Python would run in place of the runtime or of
what the runtime imports: a `numpy.py` or a `random.py` beside the module, and compiled files in `__pycache__` that are
not shown to be those of their sources.""",
    "SL743": """A module's sizes or bounds can't be set.

A module is lowered for the sizes in its `SIZES` and with the bounds in the text of its `PROGRAM`. Lower the program
again for others.""",
    "SL481": """Only proved programs are optimized.

`slotlang optimize` rewrites a program into one of the same meaning, which helps nobody where the program does not do
what it says. `slotlang check` shows the slot that is wrong, or what could not be decided. The exit status is 1.""",
    "SL701": """A file is not a certificate, or not a whole one.

A certificate is written by `slotlang check FILE --certificate OUT`: JSON of at most 16 MiB. This file is something
else, or was cut off or damaged.""",
    "SL702": """A certificate has another version.

The message names its version and the one that is checked here. Certificates are quickly made again, by
`slotlang check FILE --certificate OUT`; an older one is checked by the slotlang that wrote it.""",
    "SL703": """A certificate does not prove what it says.

Its text is not a program at its sizes, or what `slotlang.recheck` expands from the text is not what the certificate
says, or the two sides of a goal do not agree on its regions. The message says which, with the line of the text where
there is one. `slotlang recheck` calls this "rejected" and ends with exit status 1.""",
    "SL704": """There is no certificate of what is not proved.

`slotlang check` shows what is wrong or can't be decided.""",
    "SL705": """A proof can't be re-checked.

The independent checker looks at every goal with isl, or adds up its products one by one, up to 4 million of each term.
A goal fits neither; smaller sizes or a claim between the steps make it smaller. Or a statement about several members
has a sum whose extent differs from member to member, which the checker does not follow: the message names two of them.
The verdict stands: it is the certificate that is missing, and none is written.""",
    "SL801": """Memory ran out.

The message names the step, what was asked for where that is known, and the limit that is the nearest. Nothing was
written. Choose smaller sizes with --set, fewer --tokens or --workers, or allow the process more memory.""",
    "SL802": """A run needs more memory than there is.

Before keys and weights are made, `slotlang run` estimates from the plan what they take, with ciphertexts, arrays and
libraries, and compares it with the limits of the process (`ulimit -v`, `ulimit -d`), of its control group, and with
the memory that the machine has available.""",
    "SL803": """Standard output can't be written to.

The disk is full, or standard output was closed. The work was done all the same, and the files asked for with options
were written. A reader that closes its pipe is not an error: the command ends with status 141.""",
    "SL804": """SEAL could not write.

Keys, ciphertexts and plaintexts become bytes through files in memory. The process may not write files of their size
(`ulimit -f`), or there is no memory for them.""",
    "SL901": """Two methods contradict each other.

This is a bug in slotlang, not in the program. Please report it with the program.""",
    "SL902": """slotlang failed in a way it should not.

This is a bug in slotlang, not in the program. Set the environment variable SLOTLANG_TRACEBACK to see where it
happened, and please report it with the program and the command.""",
    "SL601": """There is no such family, or no such member of it.

`slotlang show FILE` lists the families of a program, their members and what their slots hold. Tensors,
scalars and permutations are not drawn: draw a family that reads them.""",
    "SL602": """What is to be drawn is written wrongly.

Name a family, `X`, or one member of it, `W[2, 5]`. Without indices the first member is drawn.""",
    "SL603": """A vector is too large to draw.

Vectors of up to 2^20 slots, over tensors of up to 2^40 elements, are drawn. Choose smaller sizes with
--set.""",
}
