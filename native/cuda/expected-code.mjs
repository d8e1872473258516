// What the machine code of kernels must have, and what it may not.

/** Shared memory that a kernel may take without asking for more, in bytes: the same on every architecture. */
export const mostSharedBytes = 48 * 1024;

/**
 * Instructions of kernels whose names match: products on tensor cores (HMMA), fragments from shared memory (LDSM), copies that
 * do not wait (LDGSTS).
 */
export const needed = [
  { kernel: /\bMultiplyByTensorCores</, instructions: ['HMMA', 'LDSM', 'LDGSTS'] },
  { kernel: /\bAttendTile</, instructions: ['HMMA', 'LDSM', 'LDGSTS'] },
];

/** Stack that any kernel may take, in bytes of a thread: a few registers too many, or the sine of a large angle. */
export const mostStackBytes = 32;

/** Kernels that may take more, how much, and why. */
export const stack = [];
