import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

@Suite struct CheckpointTests {
  @Test func opensTheTrainedFixture() throws {
    let checkpoint = try Checkpoint(opening: Fixtures.path("tiny-llama"))
    #expect(checkpoint.format == .safetensors)
    #expect(checkpoint.tensors.count == 6 * 9 + 3)
    #expect(checkpoint.tensors.map(\.name).first == "lm_head.weight")
    #expect(try checkpoint.config?.root.required("hidden_size").int() == 256)
    #expect(checkpoint.generationConfig != nil)
    #expect(try checkpoint.folder.tokenizerFile(named: "tokenizer.json") != nil)
    #expect(try checkpoint.folder.tokenizerFile(named: "tokenizer.model") == nil)
    try checkpoint.checkUnchanged()
  }
}
