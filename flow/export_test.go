package flow

// The DoFns, for the harness of flowtest.

func ApplyFnForTest(steps ...Step) any { return &applyFn{Specs: EncodeSteps(steps)} }
func CollectFnForTest() any            { return &collectFn{} }
