declare namespace Cloudflare {
  interface Env {
    EDGE_MODEL: DurableObjectNamespace;
    MODELS: R2Bucket;
    /** Files of a tiny pack, base64. */
    TEST_PACK: Record<string, string>;
  }
}
