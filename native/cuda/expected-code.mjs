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

/** Kernels that may take stack, in bytes of a thread, and why; all others take none. */
export const stack = [
  { kernel: /\bRotatePairs\b/, bytes: 32, why: 'sine and cosine of large angles' },
  { kernel: /\bMultiplyExactly</, bytes: 32, why: 'registers of a block of 256 threads, on some architectures' },
  {
    kernel: /\bMultiplyByTensorCores<.*\bCodeTile<.*, true, 32>/,
    bytes: 24,
    why: 'registers of codes with zeros, two matrices',
  },
];
