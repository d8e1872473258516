/** The reading of machine code, on what cuobjdump 13.2 writes. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../proto/package-root.ts';

interface Kernel {
  readonly architecture: string;
  readonly name: string;
  readonly registers: number;
  readonly stackBytes: number;
  readonly sharedBytes: number;
  readonly instructions: ReadonlyMap<string, number>;
}

interface Expected {
  readonly mostSharedBytes: number;
  readonly mostStackBytes: number;
  readonly needed: readonly { readonly kernel: RegExp; readonly instructions: readonly string[] }[];
  readonly stack: readonly { readonly kernel: RegExp; readonly bytes: number; readonly why: string }[];
}

const folder = join(packageRoot, 'native/cuda');
const { readResources, readCode } = (await import(join(folder, 'inspect-code.mjs'))) as {
  readResources(text: string): ReadonlyMap<string, Omit<Kernel, 'name' | 'instructions'>>;
  readCode(text: string): ReadonlyMap<string, ReadonlyMap<string, number>>;
};
const { checkCode } = (await import(join(folder, 'check-code.mjs'))) as {
  checkCode(kernels: readonly Kernel[], expected: Expected): readonly string[];
};

const resources = `
Fatbin elf code:
================
arch = sm_80
code version = [1,8]

Resource usage:
 Common:
  GLOBAL:0
 Function _Z4gatev:
  REG:40 STACK:0 SHARED:1024 LOCAL:0 CONSTANT[0]:400 TEXTURE:0 SURFACE:0 SAMPLER:0
 Function _Z7productv:
  REG:255 STACK:96 SHARED:0 LOCAL:8 CONSTANT[0]:408 TEXTURE:0 SURFACE:0 SAMPLER:0

Fatbin elf code:
================
arch = sm_90a
 Function _Z4gatev:
  REG:38 STACK:0 SHARED:1024 LOCAL:0 CONSTANT[0]:560 TEXTURE:0 SURFACE:0 SAMPLER:0
`;

const code = `
	code for sm_80
arch = sm_80
		Function : _Z7productv
	.headerflags	@"EF_CUDA_TEXMODE_UNIFIED EF_CUDA_64BIT_ADDRESS EF_CUDA_SM80 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM80)"
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;                  /* 0x00000a00ff017624 */
                                                                                            /* 0x000fe400078e00ff */
        /*0010*/              @!P0 LDGSTS.E.BYPASS.128 [R3], [R4.64] ;                      /* 0x0000000004037fae */
        /*37e0*/                   HMMA.16816.F32.BF16 R24, R12, R92.reuse, R24 ;          /* 0x0000005c0c18723c */
        /*37f0*/              @P3  HMMA.16816.F32.BF16 R40, R8, R92.reuse, R40 ;           /* 0x0000005c0828723c */
`;

describe('machine code', () => {
  it('is read kernel by kernel, for each architecture', () => {
    expect([...readResources(resources)]).toEqual([
      [
        'sm_80 _Z4gatev',
        { architecture: 'sm_80', symbol: '_Z4gatev', registers: 40, stackBytes: 0, sharedBytes: 1024 },
      ],
      [
        'sm_80 _Z7productv',
        { architecture: 'sm_80', symbol: '_Z7productv', registers: 255, stackBytes: 104, sharedBytes: 0 },
      ],
      [
        'sm_90a _Z4gatev',
        { architecture: 'sm_90a', symbol: '_Z4gatev', registers: 38, stackBytes: 0, sharedBytes: 1024 },
      ],
    ]);
    expect(Object.fromEntries(readCode(code).get('sm_80 _Z7productv') ?? [])).toEqual({ IMAD: 1, LDGSTS: 1, HMMA: 2 });
  });

  const product: Kernel = {
    ...{ architecture: 'sm_80', name: 'product<64>()', registers: 255, stackBytes: 0, sharedBytes: 0 },
    instructions: new Map([['HMMA', 2]]),
  };
  const rules = {
    mostSharedBytes: 1000,
    mostStackBytes: 4,
    needed: [{ kernel: /^product/, instructions: ['HMMA'] }],
    stack: [],
  };

  it.each([
    ['is as it must be', product, rules, []],
    [
      'takes stack',
      { ...product, stackBytes: 8 },
      rules,
      ['sm_80 product<64>(): expected at most 4 bytes of stack, got 8'],
    ],
    [
      'takes no more stack than it may',
      { ...product, stackBytes: 8 },
      { ...rules, stack: [{ kernel: /product/, bytes: 8, why: '' }] },
      [],
    ],
    [
      'takes too much shared memory',
      { ...product, sharedBytes: 1001 },
      rules,
      ['sm_80 product<64>(): expected at most 1000 bytes of fixed shared memory, got 1001'],
    ],
    [
      'lacks an instruction',
      { ...product, instructions: new Map([['FFMA', 9]]) },
      rules,
      ['sm_80 product<64>(): expected HMMA, got none'],
    ],
    ['is not called as a rule says', { ...product, name: 'other()' }, rules, ['no kernel is called /^product/']],
  ])('that %s is reported so', (_, kernel, expected, problems) => {
    expect(checkCode([kernel], expected)).toEqual(problems);
  });
});
