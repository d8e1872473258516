import { type ChannelOptions, compressionAlgorithms } from '@grpc/grpc-js';

/** Largest message of the data path: 4,096 rows of hidden size 8,192 in bf16, with their experts. */
export const MAX_DATA_MESSAGE_BYTES = 80 * 1024 * 1024;

/**
 * Options of the channels that carry activations, for clients and servers alike. The flow-control window lets a whole
 * prefill dispatch go out without waiting for the other side; keepalive finds a peer whose machine is gone.
 */
export const dataChannelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_DATA_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_DATA_MESSAGE_BYTES,
  'grpc-node.flow_control_window': 16 * 1024 * 1024,
  'grpc-node.max_session_memory': 256,
  'grpc.default_compression_algorithm': compressionAlgorithms.identity,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};

/** Options of a channel that only says whether the other side is there: it breaks as soon as that process ends. */
export const directChannelOptions: ChannelOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};
