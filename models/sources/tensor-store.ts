import type { StoredType } from './stored-types.ts';

/** A tensor as it lies in a file. */
export interface StoredTensor {
  name: string;
  /** A `StoredType`, or the file's own name of a type that nothing here reads. */
  type: StoredType | (string & {});
  /** Outermost dimension first, so that a matrix is [rows, columns] with rows contiguous. */
  shape: number[];
  /** Where the data starts, bytes from the start of `file`. */
  offset: number;
  /** Index of the file, for models in several. */
  file: number;
}

/** The tensors of a model under the names that its format gives them. */
export interface TensorStore {
  tensors: Map<string, StoredTensor>;
  /** `length` bytes of a tensor's data from `offset` on. */
  read(tensor: StoredTensor, offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}
