/// How far a walk that measures drift has come, at the end of a layer: with the hidden states all that another process needs
/// to go on.
public struct DriftProgress: Sendable {
  /// The group of chunks that is on its way. Those before it are scored.
  public var group: Range<Int>
  /// Layers that it has passed.
  public var layer: Int
  /// Of each model beside the reference.
  public var models: [Model]

  /// What was found out about one model.
  public struct Model: Sendable {
    /// Every scored token, in their order.
    public var tokens: [TokenDrift] = []
    /// Over the scored chunks.
    public var layers: [LayerDrift]
    /// Of the group, for each layer that it has passed: by chunk, and by chunk that is followed a second time.
    public var group: [(state: [StateDifference], added: [StateDifference])] = []

    public init(
      tokens: [TokenDrift] = [], layers: [LayerDrift],
      group: [(state: [StateDifference], added: [StateDifference])] = []
    ) { (self.tokens, self.layers, self.group) = (tokens, layers, group) }
  }

  public init(group: Range<Int>, layer: Int, models: [Model]) {
    (self.group, self.layer, self.models) = (group, layer, models)
  }
}

/// Keeps how far a walk has come.
public protocol DriftKeeper: AnyObject {
  /// What an earlier walk of the same models over the same text left; `nil` when there is nothing.
  func progress() throws -> DriftProgress?
  /// Puts the hidden states of that walk's group into `states`, model by model.
  func restore(_ states: [HiddenStates]) throws
  /// Called when a layer has ended.
  func layerEnded(_ progress: () -> DriftProgress, _ states: [HiddenStates]) throws
}
