import Bytes
import Models
import Testing

/// How the memory of a walk is divided.
@Suite struct WalkMemoryTests {
  private func plan(_ budget: Int, jobs: Int, models: Int = 1) throws -> WalkMemory {
    let model = try ForwardPassTests.model("tiny-llama")
    return try WalkMemory(
      Array(repeating: model.parameters, count: models), ForwardPassTests.shortText(), jobs: jobs, budget: budget,
      inUse: 10 << 20)
  }

  @Test(arguments: [1, 2, 64], [1, 3]) func thePartsAreTheBudget(_ jobs: Int, _ models: Int) throws {
    let budget = 8 << 30
    let plan = try plan(budget, jobs: jobs, models: models)
    #expect(plan.inUse + plan.buffers + plan.logits + plan.outputs + plan.states == budget)
    #expect(plan.groupSize == plan.chunks)
  }

  /// Pieces of the output matrix and of what is decoded belong to threads, of which there may be more than chunks.
  @Test func everyThreadIsCounted() throws {
    let (few, many) = try (plan(8 << 30, jobs: 11), plan(8 << 30, jobs: 22))
    let parameters = try ForwardPassTests.model("tiny-llama").parameters
    #expect(many.buffers - few.buffers >= 11 * (36 << 20) + 11 * 4 * 2 * 4096 * parameters.hiddenSize)
  }

  @Test func lessThanOneChunkNeedsIsRefused() throws {
    let least = try plan(8 << 30, jobs: 1)
    let needed = least.inUse + least.buffers + least.logits
    #expect(throws: InputError.self) { try plan(needed, jobs: 1) }
    let error = #expect(throws: InputError.self) { try plan(1 << 20, jobs: 1) }
    #expect(error?.code == .limit)
    let tight = try plan(needed + 72 * 256 * 4 * 2, jobs: 1)
    #expect(tight.groupSize >= 1 && tight.groupSize < tight.chunks)
  }
}
