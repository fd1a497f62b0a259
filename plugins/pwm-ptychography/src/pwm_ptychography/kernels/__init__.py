"""Compiled CPU kernels of ptychography: sequential sweeps and sums over positions.

=========================  ===========================================================================
`pie`                      `Sweeper`: ePIE, rPIE and relatives
`batch`                    `gather_all` and company: gradients, projections, position refinement
`tally`                    `tally_all`: sums of each position that tell its flux and background
`tangent`, `changes`       `Tangent`: products with the derivative and its adjoint; their compiled loops
`plan`, `positions`        array orders and buffers; checks of per-position input
`sweeps`, `overlaps`       compiled loops over positions, cached on disk
`schedule`, `threads`      which thread works on which position; thread pool and barrier
`steps`, `near`, `gather`  the intrinsics that the loops call: one step for one pattern each
`blend`                    probes of components that each position adds up in its own way
`passes`                   passes of the Fourier transform, with hooks for what comes before and after
`layout`                   where values are kept
`butterflies`              transforms of 2, 3, 4, 5 and 8 points
`arrays`, `elements`       access to objects, fields and spectra; pointwise arithmetic
`vector`, `functions`      vectors of 8 or 16 floats over LLVM's IR builder; reciprocal, root, logarithm
`lowering`                 from code generator to numba intrinsic
=========================  ===========================================================================

Native sizes are n = 8 * 2^a 3^b 5^c with 16 <= n <= 2048.  A pattern is transformed, constrained, transformed
back and used for the update without ever being reordered; `layout` explains the order, `passes` how the steps
hang together.  No compiler is needed but numba's.
"""
