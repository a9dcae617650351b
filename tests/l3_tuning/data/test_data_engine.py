from aiops.layers.l3_tuning.data.data_engine import LocalEngine

from .data_engine_contract import DataEngineContract


class TestLocal(DataEngineContract):
    engine = LocalEngine()


class TestLocalInThisProcess(DataEngineContract):
    engine = LocalEngine()
    shares = 1
