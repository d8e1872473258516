/**
 * 64-bit integers of the messages that clients send and get keep all their digits: they are decoded as text. A seed may be any
 * of them, and numbers end at 2^53. In force from before the first message is coded.
 */
import protobuf, { type IConversionOptions, type Message, type Type } from 'protobufjs';

/** All messages of inference.proto that have such a field; `npm run build:proto` types them alike. */
for (const name of ['SamplingParams', 'GetModelResponse']) {
  protobuf.wrappers[`.conclave.v1.${name}`] = {
    fromObject(this: Type, object) {
      return this.fromObject(object);
    },
    toObject(this: Type, message: Message, options?: IConversionOptions) {
      return this.toObject(message, { ...options, longs: String });
    },
  };
}
