/** A decoded image: upright sRGB pixels. rgb: height x width x 3 (HWC), 0..255, row by row from the top left. */
export type Pixels = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };
