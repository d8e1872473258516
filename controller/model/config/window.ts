/** Which layers have a sliding window, and how the families' configurations say so. */
import { z } from 'zod';
import { quote } from './problems.ts';

/** The keys of config.json, to be read as config.ts does. */
export const windowKeys = {
  /** Null and 0: no window. */
  sliding_window: z.int().min(0).max(0x7fffffff).nullable(),
  use_sliding_window: z.boolean(),
  max_window_layers: z.int().min(0),
} as const;

/** Defaults of a family whose every layer has the window. */
export function windowDefaults(tokens: number | null) {
  return { sliding_window: tokens };
}

/** Defaults of a family whose window is off unless a key says otherwise. */
export const switchedWindowDefaults = { ...windowDefaults(4096), use_sliding_window: false };

/** Defaults of a family whose layers differ. */
export const layeredWindowDefaults = { ...switchedWindowDefaults, max_window_layers: 28, layer_types: null };

interface Switched {
  readonly sliding_window: number | null;
  readonly use_sliding_window: boolean;
}

interface Layered extends Switched {
  readonly max_window_layers: number;
  readonly layer_types: readonly string[] | null;
}

/** The parameter of attention that a window is. */
export interface Window {
  /** Positions that a position sees, itself included; 0: all before it. */
  readonly slidingWindow: number;
}

export const noWindow: Window = { slidingWindow: 0 };

/** The window of every layer. */
export function window(config: { readonly sliding_window: number | null }): Window {
  return { slidingWindow: config.sliding_window ?? 0 };
}

/** A window of so many tokens in a layer that has one. */
export function windowIf(slides: boolean, tokens: number | null): Window {
  return slides ? window({ sliding_window: tokens }) : noWindow;
}

export function switchedWindow(config: Switched): Window {
  return config.use_sliding_window ? window(config) : noWindow;
}

/** The window of layer `index`: as `layer_types` says, else in the layers from `max_window_layers` on. */
export function layeredWindow(config: Layered, index: number): Window {
  return isSliding(config, index, index >= config.max_window_layers) ? switchedWindow(config) : noWindow;
}

/** The same where `max_window_layers` bounds from above, and only even layers slide. */
export function alternatingWindow(config: Layered, index: number): Window {
  const slides = index % 2 === 0 && index < config.max_window_layers;
  return isSliding(config, index, slides) ? switchedWindow(config) : noWindow;
}

function isSliding({ layer_types: types }: Layered, index: number, otherwise: boolean): boolean {
  return types ? types[index] === 'sliding_attention' : otherwise;
}

/** Why `layer_types` and the window's own keys contradict each other; null when they do not. */
export function windowProblem(config: Partial<Layered>): string | null {
  const { layer_types: types, use_sliding_window: slides, sliding_window: tokens } = config;
  if (!types?.includes('sliding_attention') || (slides !== false && tokens)) return null;
  const off = slides === undefined ? '' : `use_sliding_window is ${quote(slides)} and `;
  return `layer_types has sliding_attention, but ${off}sliding_window is ${quote(tokens)}`;
}
